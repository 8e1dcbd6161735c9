"""What each layer attends to and decides: probes, judges, layer roles, calibration, figures."""
