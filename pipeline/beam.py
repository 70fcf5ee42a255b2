"""What Beam is told."""

# Workers on this machine import what is installed. Unless an image is named, and be it one that no local runner reads,
# TFX packs a copy of itself for them in every step: 42 MB in the temporary folder, which stay.
WORKERS_HAVE_TFX = "--sdk_container_image=installed"
