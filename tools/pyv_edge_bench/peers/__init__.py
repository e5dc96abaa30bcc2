"""What a user could take instead of Pyvorin Edge, on the same readings and machine.

    publisher --MQTT--> broker --> peer: store, forward --MQTT--> upstream broker --> counter

A peer is a program with a configuration; see `peer`. What is measured of each is in `trial`.
"""
