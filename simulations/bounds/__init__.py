"""What no policy can beat: costs of plans that know every request before it comes."""
