"""What every format, transport and theme must do."""
