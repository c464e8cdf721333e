"""`lulc serve`: a local web page and its machine door.

upload -> child process (look, classify, explain) -> product -> tiles, values, downloads
"""
