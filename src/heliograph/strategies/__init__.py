"""One file = one way of sending: an encode half for the device, a restore half for the cloud."""
