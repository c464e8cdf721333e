"""What a report of zones is written to, beside the texts."""

ZONE_TABLE, ZONE_PICTURE = "zones.csv", "zones.png"
