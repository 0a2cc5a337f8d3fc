"""What a wake from zero adds in a real cluster, side by side with Knative Serving in the same one."""
