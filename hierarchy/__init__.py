"""The plan: which texts apply where. Its data model, files, areas, token grid and preview.

`plan.py` is the data model, `file_model.py` what it shares with other models that are files, `files.py` reads and
writes YAML and JSON with line numbers, `areas.py` turns a region into pixels, `grid.py` pixels into image tokens,
`preview.py` draws the layout. `native.py` and the files beside it write plans as models' own captions, and read them.
`style.py` and `typeset.py` are the palette and the pen of all pictures, `compare.py` puts pictures side by side.
"""
