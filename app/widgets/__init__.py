"""What the page and the labs' panels are both made of: words, status lines, events, jobs that are watched."""
