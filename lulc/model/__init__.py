"""Networks: built by name, loaded from bundles, run on a device."""

import os

# OpenMP threads that spin while they wait cost two to four times the work on a busy machine. Both variables are read
# once, when torch loads its OpenMP library; whatever the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("KMP_BLOCKTIME", "0")
