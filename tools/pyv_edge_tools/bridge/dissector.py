"""Makes a Wireshark dissector (Lua) from the core's own tables of messages.

So it knows what this version knows and nothing has to be kept in step. It takes
the frames of `pcapng`: link type USER0, stuffing removed, FCS behind.
"""

from pyv_edge_core import message, seal

from .event import NAMES
from .pcapng import LINKTYPE_FRAMES

# A field's code in message's layouts: its size and its type in Lua.
_TYPES = {
    "B": (1, "uint8"),
    "H": (2, "uint16"),
    "I": (4, "uint32"),
    "T": (0, "string"),
    "*": (-1, "bytes"),
}
_HEAD = """\
-- Pyvorin Edge link. Made by `pyv-edge-bridge export --dissector`: put it into Wireshark's folder
-- of personal Lua plugins (Help, About, Folders).
local edge = Proto("pyv_edge", "Pyvorin Edge link")
local names = {%(names)s}
local f = {}
f.version = ProtoField.uint8("pyv_edge.version", "version")
f.type = ProtoField.uint8("pyv_edge.type", "type", base.DEC, names, 0x%(type_mask)02x)
f.sealed = ProtoField.bool("pyv_edge.sealed", "sealed", 8, nil, 0x%(sealed)02x)
f.tag = ProtoField.uint16("pyv_edge.tag", "tag", base.HEX)
f.seal = ProtoField.bytes("pyv_edge.seal", "seal")
f.fcs = ProtoField.uint32("pyv_edge.fcs", "FCS-32", base.HEX)
%(fields)s
edge.fields = f
-- type: {{field, size}, ...}; size 0 is a text with its size before it, -1 the rest
local layouts = {
%(layouts)s
}
"""
_BODY = """\
function edge.dissector(buffer, pinfo, tree)
  pinfo.cols.protocol = "PYV-EDGE"
  local size = buffer:len()
  if size < 8 then return 0 end
  local kind = bit.band(buffer(1, 1):uint(), 0x%(type_mask)02x)
  local is_sealed = buffer(1, 1):uint() >= 0x%(sealed)02x
  local top = tree:add(edge, buffer(), "Pyvorin Edge " .. (names[kind] or "message"))
  pinfo.cols.info = names[kind] or ("type " .. kind)
  top:add(f.version, buffer(0, 1))
  top:add(f.type, buffer(1, 1))
  top:add(f.sealed, buffer(1, 1))
  top:add_le(f.tag, buffer(2, 2))
  local stop = size - 4
  top:add_le(f.fcs, buffer(stop, 4))
  if is_sealed and stop >= 4 + %(overhead)d then
    stop = stop - %(overhead)d
    top:add(f.seal, buffer(stop, %(overhead)d))
  end
  local offset = 4
  for _, one in ipairs(layouts[kind] or {}) do
    local width = one[2]
    if width == 0 then
      if offset >= stop then return size end
      width = buffer(offset, 1):uint()
      offset = offset + 1
    elseif width < 0 then
      width = stop - offset
    end
    if width < 0 or offset + width > stop then return size end
    if width > 0 then top:add_le(f[one[1]], buffer(offset, width)) end
    offset = offset + width
  end
  return size
end

DissectorTable.get("wtap_encap"):add(wtap.USER0, edge)
"""
_USER0 = 147


def script() -> str:
    """Return the dissector."""
    assert LINKTYPE_FRAMES == _USER0  # what wtap.USER0 is for
    fields, layouts = [], []
    for kind, name in sorted(NAMES.items()):
        row = []
        codes = message._LAYOUTS[kind]  # the core has no other name for it
        for code, field in zip(codes, message.shape(kind)._fields[1:], strict=True):
            known = f"{name.lower()}_{field}"
            shown = f'"pyv_edge.{name.lower()}.{field}", "{field}"'
            size, lua_type = _TYPES[code]
            fields.append(f"f.{known} = ProtoField.{lua_type}({shown})")
            row.append(f'{{"{known}", {size}}}')
        layouts.append(f"  [{kind}] = {{{', '.join(row)}}}, -- {name}")
    terms = {
        "names": ", ".join(f'[{kind}] = "{name}"' for kind, name in sorted(NAMES.items())),
        "sealed": seal.SEALED,
        "type_mask": 0xFF & ~seal.SEALED,
        "overhead": seal.OVERHEAD,
        "fields": "\n".join(fields),
        "layouts": "\n".join(layouts),
    }
    return _HEAD % terms + "\n" + _BODY % terms
