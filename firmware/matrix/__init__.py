"""The mixing-matrix process: owns every RTP port and audio device of the unit."""
