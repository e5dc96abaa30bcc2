"""What `doctor` looks at: one file for each area, one function for each check.

A check is given what it looks at (folders of /proc and /sys, users, a clock, what looks names
up), so that each broken state can be tested without being in one. It changes nothing and leaves
nothing behind. `plan` says which checks there are for a machine, `bounded` carries them out.
"""
