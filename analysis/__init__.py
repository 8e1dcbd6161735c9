"""What each layer attends to and decides, on the model at hand: probes, judges, layer roles, calibration, figures."""
