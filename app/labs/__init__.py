"""What the lab tabs show: functions from ldm_core's values to plots and pictures. No web in here."""
