# Makes kcore a package that `cimport kcore.X` can find; the declarations are in each module's own .pxd.
