"""What an acknowledgement is worth: kill -9 and power cuts under load."""
