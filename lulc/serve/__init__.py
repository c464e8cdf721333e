"""`lulc serve`: a local web page and its HTTP API.

upload -> child process (inspect, classify, explain) -> product -> tiles, values, downloads
"""
