"""The page. Gradio is imported here, in app.widgets and in the labs' panels alone."""
