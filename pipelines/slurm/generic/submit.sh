#!/bin/bash
# All shards of region.json, then the merge of each scene. `lulc hpc submit` does the same for what is not done yet.
set -eu
mkdir -p /data/region/region.run/logs
shards_0=$(sbatch --parsable --array=0-11 --export=ALL,LULC_FIRST=0 /data/region/scripts/shards.sbatch)
sbatch --parsable --array=0-2 --export=ALL,LULC_FIRST=0 --dependency=afterany:$shards_0 /data/region/scripts/merge.sbatch
