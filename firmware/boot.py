"""Deliberately empty: whatever stands here runs whenever mpremote connects. See main.py."""
