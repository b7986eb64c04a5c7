"""What tests of voicertc, and of applications built on it, are made of."""
