"""Which port a device's `port` means, with lists of ports that the test gives."""

import os
from types import SimpleNamespace

import pytest
from pyv_edge_agent.errors import PortAbsentError
from pyv_edge_agent.port_search import (
    SHOWN_MAX,
    PortClaims,
    UsbDevice,
    find,
    lasting_names,
    normal,
    parse,
)


def usb(device, vid=0x2E8A, pid=0x0005, serial_number="E6614103"):
    return SimpleNamespace(device=device, vid=vid, pid=pid, serial_number=serial_number)


BUILT_IN = SimpleNamespace(device="/dev/ttyS0", vid=None, pid=None, serial_number=None)
PICO = usb("/dev/ttyACM0")
OTHER_PICO = usb("/dev/ttyACM1", serial_number="E6614999")
BRIDGE = usb("/dev/ttyUSB0", 0x10C4, 0xEA60, None)


def search(text, *ports):
    return find(text, lambda: ports)


def refusal(text, *ports):
    with pytest.raises(PortAbsentError) as refused:
        search(text, *ports)
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith(f"serial port {text} ")
    return line


# -- what it is --------------------------------------------------------------------


@pytest.mark.parametrize("text", ["/dev/ttyACM0", "/dev/serial/by-id/usb-x-if00", "relative"])
def test_path_is_no_usb_device(text):
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("usb:2e8a:0005", UsbDevice(0x2E8A, 5, "")),
        ("USB:2E8A:5", UsbDevice(0x2E8A, 5, "")),
        ("usb:10C4:ea60:ABcd-1", UsbDevice(0x10C4, 0xEA60, "abcd-1")),
        ("usb:303a:1001:F4:12:FA:C0:F1:90", UsbDevice(0x303A, 0x1001, "f4:12:fa:c0:f1:90")),
        ("usb:1:2:a b", UsbDevice(1, 2, "a b")),
    ],
)
def test_usb_device_by_its_numbers(text, wanted):
    assert parse(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["usb:", "usb:2e8a", "usb:2e8a:", "usb:2e8a:xyz", "usb:12345:1", "usb:1:2:", "usb:1:2: x"],
)
def test_broken_usb_device_is_refused(text):
    with pytest.raises(ValueError, match="must be a path, usb:VID:PID or usb:VID:PID:SERIAL"):
        parse(text)


def test_empty_text_is_refused():
    with pytest.raises(ValueError, match="must not be empty"):
        parse("")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("/dev/ttyACM0", "/dev//./ttyACM0"),
        ("usb:2e8a:5", "USB:2E8A:0005"),
        ("usb:1:2:ab", "usb:0001:0002:AB"),
    ],
)
def test_ways_of_writing_the_same_port_are_one(one, other):
    assert normal(one) == normal(other)


def test_different_ports_stay_different():
    texts = ["/dev/a", "/dev/b", "usb:1:2", "usb:1:3", "usb:1:2:x", "usb:1:2:y", "usb:broken"]
    assert len({normal(text) for text in texts}) == len(texts)


# -- paths -------------------------------------------------------------------------


def test_path_that_exists_is_found(tmp_path):
    place = tmp_path / "ttyX"
    place.touch()
    assert search(str(place)) == str(place)


def test_link_to_a_port_is_found_only_while_the_port_is_there(tmp_path):
    link = tmp_path / "by-id"
    link.symlink_to(tmp_path / "ttyX")
    assert "does not exist; plug the board in, or name another port" in refusal(str(link))
    (tmp_path / "ttyX").touch()
    assert search(str(link)) == str(link)


# -- USB ---------------------------------------------------------------------------


def test_the_one_port_that_fits_is_found():
    ports = (BUILT_IN, PICO, BRIDGE)
    assert search("usb:2e8a:0005", *ports) == "/dev/ttyACM0"
    assert search("usb:10c4:ea60", *ports) == "/dev/ttyUSB0"


def test_serial_number_tells_two_of_a_kind_apart():
    assert search("usb:2E8A:5:e6614999", PICO, OTHER_PICO) == "/dev/ttyACM1"


def test_device_that_is_not_there():
    for ports in ((), (BUILT_IN, BRIDGE)):
        assert "is not there; plug the board in" in refusal("usb:2e8a:0005", *ports)
    assert "is not there" in refusal("usb:2e8a:0005:none", PICO)
    assert "is not there" in refusal("usb:10c4:ea60:1", BRIDGE)  # it has no serial number


def test_ambiguity_names_all_candidates_and_the_remedy():
    assert refusal("usb:2e8a:5", OTHER_PICO, BUILT_IN, PICO) == (
        "serial port usb:2e8a:5 fits 2 ports: /dev/ttyACM0 (serial number E6614103),"
        " /dev/ttyACM1 (serial number E6614999); write usb:2e8a:0005:SERIAL"
    )


def test_ambiguity_that_no_serial_number_solves():
    line = refusal("usb:10c4:ea60", BRIDGE, usb("/dev/ttyUSB1", 0x10C4, 0xEA60, None))
    assert "/dev/ttyUSB0 (serial number none)" in line
    assert line.endswith("; name one by its path in /dev/serial/by-id or /dev/serial/by-path")
    twins = refusal("usb:2e8a:5:E6614103", PICO, usb("/dev/ttyACM7"))  # one board, two ports
    assert twins.endswith("; name one by its path in /dev/serial/by-id or /dev/serial/by-path")


def test_long_list_of_candidates_is_cut():
    line = refusal(
        "usb:2e8a:5", *[usb(f"/dev/ttyACM{n}", serial_number=str(n)) for n in range(99)]
    )
    assert line.count("serial number") == SHOWN_MAX
    assert f" and {99 - SHOWN_MAX} more; " in line


@pytest.mark.parametrize("error", [TypeError("int() of None"), OSError(19, "No such device")])
def test_list_that_fails_is_looked_at_again(error):
    def ports():
        raise error

    with pytest.raises(PortAbsentError, match="ports can't be listed now"):
        find("usb:1:2", ports)


# -- claims ------------------------------------------------------------------------


def test_port_belongs_to_whom_it_was_given_first(tmp_path):
    (tmp_path / "ttyX").touch()
    link = tmp_path / "by-id"
    link.symlink_to(tmp_path / "ttyX")
    claims = PortClaims()
    claims.take(str(tmp_path / "ttyX"), "porch")
    claims.take(str(tmp_path / "ttyX"), "porch")
    with pytest.raises(PortAbsentError) as refused:
        claims.take(str(link), "cellar")
    real = os.path.realpath(link)
    assert str(refused.value) == (
        f"serial port {link} is {real}, which device porch has; name another port"
    )


def test_port_is_free_once_its_owner_has_none_or_another():
    claims = PortClaims()
    claims.take("/dev/a", "porch")
    claims.release("porch")
    claims.take("/dev/a", "cellar")
    claims.take("/dev/b", "cellar")
    claims.take("/dev/a", "porch")
    with pytest.raises(PortAbsentError, match="which device cellar has"):
        claims.take("/dev/b", "porch")
    claims.take("/dev/a", "attic")  # the refusal cost porch what it had


# -- names that last ---------------------------------------------------------------


def test_name_that_lasts_finds_the_same_port_again(tmp_path):
    ports = [OTHER_PICO, PICO, BUILT_IN, usb("/dev/ttyACM2", 0x303A, 0x1001, "F4:12 a")]
    names = lasting_names(lambda: ports, tmp_path)
    assert names == {
        "/dev/ttyACM0": "usb:2e8a:0005:E6614103",
        "/dev/ttyACM1": "usb:2e8a:0005:E6614999",
        "/dev/ttyACM2": "usb:303a:1001:F4:12 a",
    }
    for place, name in names.items():
        assert search(name, *ports) == place


def test_board_without_a_number_of_its_own_is_where_it_is_plugged_in(tmp_path):
    places = [tmp_path / "ttyUSB0", tmp_path / "ttyUSB1"]
    twins = [usb(str(place), 0x10C4, 0xEA60, "0001") for place in places]
    unnumbered = usb(str(tmp_path / "ttyUSB2"), 0x10C4, 0xEA60, "\x01")
    (tmp_path / "by-path").mkdir()
    for place in places:
        place.touch()
        (tmp_path / "by-path" / f"pci-{place.name}").symlink_to(place)
    names = lasting_names(lambda: [*twins, unnumbered], tmp_path)
    assert names == {
        str(places[0]): str(tmp_path / "by-path/pci-ttyUSB0"),
        str(places[1]): str(tmp_path / "by-path/pci-ttyUSB1"),
        unnumbered.device: unnumbered.device,
    }
    assert lasting_names(lambda: twins[:1], tmp_path / "none") == {
        str(places[0]): "usb:10c4:ea60:0001"
    }
