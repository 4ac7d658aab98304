# Columns are made for Python; nothing here is for cimport.
