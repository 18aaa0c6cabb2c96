# The image on which the conformance suite runs: all of smolmpy, whatever the board needs of it,
# but for the assembly of another processor, `skip` ("thumb" or "rv32").
import os

options.defaults(skip="")
_top = os.path.abspath("../../smolmpy")
_files = []
for _folder, _, _names in os.walk(_top):
    for _name in _names:
        if _name.endswith(".py") and not _name.endswith(options.skip + ".py"):
            _files.append(os.path.relpath(os.path.join(_folder, _name), _top))

package("smolmpy", files=tuple(sorted(_files)), base_path="../..", opt=3)
