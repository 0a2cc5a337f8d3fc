"""What the user asked for: annotations and spec fields become one typed ScalingPolicy."""
