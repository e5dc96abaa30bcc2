"""The agent: what runs on the Raspberry Pi, in the order in which a reading travels."""
