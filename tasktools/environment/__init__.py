"""The process that tasktools runs in: installed packages, files that hide a library, gevent's patches, early signals."""
