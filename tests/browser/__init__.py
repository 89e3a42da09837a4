"""Page as a person meets it: a real browser, with scripts on and off."""
