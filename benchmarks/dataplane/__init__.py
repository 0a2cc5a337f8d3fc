"""What a proxied request costs, measured side by side with the proxies that people would use instead. See README.md."""
