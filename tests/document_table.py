"""Which test has to do with which block of the documents; test_documents.py sees to it.

A block that is not here is run by test_documents.py, if its language is `sh`, `toml` or
`json`. To add another: write its test, and name both here.
"""

BRIDGE = "tests/tools/test_bridge_md.py::test_transcripts_are_what_happens"
FLASHING = "tests/tools/test_flashing_md.py"
DOCS = "tests/test_docs.py"
# document: {part that `make docs` writes, with blocks in it: what compares it with the code}
MADE = {
    "BRIDGE.md": dict.fromkeys(
        ("in between", "looking", "again", "faults", "asking", "wireshark"), BRIDGE
    ),
    "FLASHING.md": {
        "transcript": f"{FLASHING}::test_session_interruptions_and_sizes_are_those_of_the_code"
    },
    "OPERATIONS.md": {
        "session": f"{DOCS}::test_session_is_what_happens",
        "size": f"{DOCS}::test_sizes_of_readings_are_what_the_code_calculates",
    },
    "PRIVACY.md": dict.fromkeys(
        ("explanation", "faults"),
        f"{DOCS}::test_generated_examples_of_privacy_are_what_the_code_does",
    ),
    "PROTOCOL.md": dict.fromkeys(
        ("UNITS", "VECTORS"), f"{DOCS}::test_protocol_has_the_states_and_the_vectors_of_the_code"
    ),
}

ADAPTERS = "tests/test_adapters_md.py"
README = "tests/test_readme.py"
HERE = "tests/test_documents.py"
DRAWINGS = "tests/test_protocol_drawings.py"
MINUTES = "Five minutes from a bare Pico to a chart"
PLAYED = "Without a Pico"
CLOUD = "To the cloud, and what must not get there"
# (document, heading, language): how many blocks, and the test that takes them
TAKEN = {
    ("ADAPTERS.md", "A package", "toml"): (2, f"{ADAPTERS}::test_package_is_that_of_the_example"),
    ("ADAPTERS.md", "A package", "python"): (
        1,
        f"{ADAPTERS}::test_package_is_that_of_the_example",
    ),
    ("ADAPTERS.md", "One that pushes", "python"): (
        1,
        f"{ADAPTERS}::test_adapter_that_pushes_runs",
    ),
    ("BRIDGE.md", "Recording", "text"): (
        1,
        "tests/tools/test_bridge_md.py::test_limits_are_those_of_the_code",
    ),
    ("MONITORING.md", "Who may look", "toml"): (1, f"{HERE}::test_who_has_a_token_may_look"),
    ("MONITORING.md", "Who may look", "sh"): (1, f"{HERE}::test_who_has_a_token_may_look"),
    ("MONITORING.md", "Metrics", "yaml"): (
        1,
        "tests/test_monitoring_md.py::test_prometheus_takes_its_configuration",
    ),
    ("OPERATIONS.md", "A board that is reset while the agent is away", "json"): (
        1,
        f"{HERE}::test_settings_of_a_board_are_good",
    ),
    ("PRIVACY.md", "Pseudonyms", "python"): (
        1,
        f"{DOCS}::test_pseudonyms_are_found_again_as_privacy_says",
    ),
    ("PRIVACY.md", "Pseudonyms", "console"): (
        1,
        f"{DOCS}::test_pseudonyms_are_found_again_as_privacy_says",
    ),
    ("PROTOCOL.md", "Frames", "text"): (1, f"{DRAWINGS}::test_frame"),
    ("PROTOCOL.md", "Messages", "text"): (1, f"{DRAWINGS}::test_header"),
    ("PROTOCOL.md", "CHANNELS (2), board to host", "text"): (1, f"{DRAWINGS}::test_entries"),
    ("PROTOCOL.md", "DATA (4), board to host", "text"): (1, f"{DRAWINGS}::test_record"),
    ("PROTOCOL.md", "A session", "text"): (1, f"{DRAWINGS}::test_session"),
    ("PROTOCOL.md", "Seals", "text"): (1, f"{DRAWINGS}::test_seal"),
    ("README.md", MINUTES, "sh"): (
        5,
        f"{README}::test_steps_with_a_pico_are_those_that_are_played",
    ),
    ("README.md", MINUTES, "json"): (
        1,
        f"{README}::test_settings_of_the_bare_pico_are_those_that_are_played",
    ),
    ("README.md", MINUTES, "toml"): (1, f"{README}::test_five_minutes_lead_to_a_chart"),
    ("README.md", PLAYED, "sh"): (3, f"{README}::test_five_minutes_lead_to_a_chart"),
    ("README.md", PLAYED, "json"): (1, f"{README}::test_five_minutes_lead_to_a_chart"),
    ("README.md", CLOUD, "toml"): (1, f"{README}::test_configurations_are_valid"),
    ("README.md", CLOUD, "python"): (1, f"{README}::test_python_runs"),
    ("README.md", "The path of a reading", "text"): (1, f"{HERE}::test_path_is_as_it_is_drawn"),
    ("SENSORS.md", "adc", "json"): (
        1,
        "tests/test_sensors_md.py::test_example_is_the_file_and_all_settings_are_json",
    ),
    ("SENSORS.md", "ds18b20", "sh"): (1, f"{HERE}::test_sensors_on_a_wire_are_told"),
    ("SENSORS.md", "Your own sensor", "python"): (
        1,
        "tests/test_sensors_md.py::test_example_is_the_file_and_all_settings_are_json",
    ),
    ("SENSORS.md", "Your own sensor", "json"): (
        1,
        "tests/test_sensors_md.py::test_example_is_the_file_and_all_settings_are_json",
    ),
}

# What is not run as it stands, and why. That it exists is checked all the same.
NOT_RUN = {
    "sudo ": "changes the computer, as root",
    "systemctl ": "needs the service, on a computer with systemd",
    "journalctl ": "needs the service, on a computer with systemd",
    "make ": "is a step of the build; `make -n` tells what it would do",
    "pyv-edge-flash firmware esp32 ": "erases a real board",
    "mpremote mip install ": "needs a board; tests/tools/test_mip.py runs it with a virtual one",
}
