"""The sound of real devices through PortAudio: ALSA cards on USB, and JACK clients on benches.

No thread ever waits inside PortAudio: a stream is asked how many frames it has, and the thread
sleeps for those that are missing.  So a stream that stalls is seen, and a port can be closed at
any time from any thread.
"""
