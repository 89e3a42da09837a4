"""The controller's process: a loop around `controller.tick`, and `/metrics`."""
