# Functions of a library that is loaded already, or carried by somebody's module: the codecs call their libraries so.

cdef extern from "<dlfcn.h>" nogil:
    void* dlopen(const char* path, int flags)
    void* dlsym(void* library, const char* name)
    void* RTLD_DEFAULT
    int RTLD_NOW
