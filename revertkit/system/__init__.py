"""What a driver needs of the host: commands, mounts, devices, exports. Knows nothing of shares."""
