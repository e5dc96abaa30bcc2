"""Programs for a board's prompt: what they print is what `inventory` and `deploy` read.

Small, because they go over the line as they are; MicroPython 1.22 runs them.
"""

WAIT_MS = 60_000  # for a line; then whoever sends them is gone for good, and the board boots

# What walks a tree and prints, per file: "file", path, size, 16 characters of its SHA-256.
_WALK = """
import os,hashlib,binascii
def digest(p):
 s=hashlib.sha256()
 with open(p,'rb') as f:
  b=f.read(1024)
  while b:
   s.update(b);b=f.read(1024)
 return binascii.b2a_base64(s.digest()[:12]).decode().strip()
def walk(d):
 try:
  names=list(os.ilistdir(d))
 except OSError:
  return
 for e in names:
  p=d+'/'+e[0]
  if e[1]&0x4000:
   walk(p)
  else:
   print('file',p,os.stat(p)[6],digest(p))
"""

INVENTORY = (
    _WALK
    + """
import sys,gc
i=sys.implementation
print('version','.'.join([str(n) for n in i[1][:3]]))
print('bytecode',getattr(i,'_mpy',0)&255)
print('machine',getattr(i,'_machine',sys.platform))
try:
 import machine
 print('id',binascii.hexlify(machine.unique_id()).decode())
except (ImportError,AttributeError):
 i=os.getenv('PYV_BOARD_ID') if hasattr(os,'getenv') else None
 if i:
  print('id',i)
s=os.statvfs('/')
print('flash',s[0]*s[2],s[0]*s[3])
print('heap',gc.mem_free())
try:
 import deflate
 print('deflate')
except ImportError:
 pass
for n in ('main.py','boot.py','slots.py','device.json','boots','crash','crash.told'):
 try:
  print('file',n,os.stat(n)[6],digest(n))
 except OSError:
  pass
walk('app_a')
walk('app_b')
for a in ('app_a','app_b'):
 try:
  f=open(a+'/manifest')
 except OSError:
  continue
 with f:
  for l in f:
   h,_,p=l.strip().partition(' ')
   try:
    if digest(a+'/'+p)==h:
     continue
   except OSError:
    pass
   print('damaged',a+'/'+p)
try:
 import slots
 s=slots.Slots()
 print('slots',s.running or '-',s.behind,s.boots)
except Exception as e:
 print('noslots',type(e).__name__)
"""
)

# Takes blocks of base64 lines; acknowledges each line with a dot. A block, unpacked, is a row of
# operations: "+ size path" and a new file's bytes, "> size path" and what is added to it,
# "= from path" for a copy on the board, "- 0 path" for a file to be removed.
RECEIVE = (
    _WALK
    + """
import sys,io,select
i=sys.stdin.buffer
o=sys.stdout.buffer
q=select.poll()
q.register(i,select.POLLIN)
def line():
 if not q.poll(WAIT_MS):
  import machine
  machine.reset()
 return i.readline().strip()
def unpack(b):
 UNPACK
def parents(p):
 k=p.find('/')
 while k>0:
  try:
   os.mkdir(p[:k])
  except OSError:
   pass
  k=p.find('/',k+1)
def remove(p):
 try:
  os.remove(p)
 except OSError:
  pass
def copy(a,p):
 with open(a,'rb') as f, open(p,'wb') as g:
  b=f.read(512)
  while b:
   g.write(b);b=f.read(512)
def apply(d):
 k=0
 while k<len(d):
  e=d.find(b'\\n',k)
  op,n,p=d[k:e].decode().split(' ',2)
  k=e+1
  if op=='-':
   remove(p)
  elif op=='=':
   parents(p);copy(n,p)
  else:
   if op=='+':
    parents(p)
   with open(p,'wb' if op=='+' else 'ab') as f:
    f.write(d[k:k+int(n)])
   k+=int(n)
while 1:
 b=bytearray()
 while 1:
  l=line()
  if not l:
   break
  b+=binascii.a2b_base64(l)
  o.write(b'.')
 if not b:
  break
 apply(unpack(b))
 o.write(b'!')
walk('TARGET')
for n in ROOT_NAMES:
 print('file',n,os.stat(n)[6],digest(n))
"""
)
_INFLATE = "import deflate;return deflate.DeflateIO(io.BytesIO(b),deflate.RAW,10).read()"

# Makes the set in `TARGET` whole and lets it run from the next boot on.
BEGIN = """
import os
for a,b in RENAMES:
 os.rename(a,b)
import slots
slots.Slots().begin_trial('SLOT')
s=slots.Slots()
print(s.running,s.behind)
"""

ABANDON = "import slots\ns=slots.Slots()\ns.abandon()\nprint(slots.Slots().running)"
# Each prints the set that is in force then, and the CRC-32 of its manifest.
_TELL = """
import binascii
s=slots.Slots()
with open(s.folder+'/manifest','rb') as f:
 print(s.running,binascii.crc32(f.read()))
"""
ROLL_BACK = "import slots\nslots.Slots().roll_back()" + _TELL
KEEP = "import slots\nslots.Slots().keep()" + _TELL


def receive(target: str, root_names: list[str], *, has_deflate: bool) -> str:
    """Return the program that takes files, and then prints those in `target` and the root's."""
    unpack = _INFLATE if has_deflate else "return b"
    program = RECEIVE.replace("UNPACK", unpack).replace("TARGET", target)
    return program.replace("ROOT_NAMES", repr(root_names)).replace("WAIT_MS", str(WAIT_MS))


def begin(slot: str, renames: list[tuple[str, str]]) -> str:
    """Return the program that renames files and begins the trial of `slot`."""
    return BEGIN.replace("RENAMES", repr(renames)).replace("SLOT", slot)


def show(names: list[str]) -> str:
    """Return the program that prints small files of a board, each behind a line with its name."""
    return f"""
for n in {names!r}:
 try:
  with open(n) as f:
   print('=== '+n)
   print(f.read(4096))
 except OSError:
  pass
"""


def erase(names: list[str], folders: list[str]) -> str:
    """Return the program that removes files, those in folders too, and prints what was there."""
    return f"""
import os
names={names!r}
for d in {folders!r}:
 try:
  names+=[d+'/'+n for n in os.listdir(d)]
 except OSError:
  pass
for n in names:
 try:
  os.remove(n)
  print(n)
 except OSError:
  pass
"""
