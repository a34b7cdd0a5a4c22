"""Floor 5: tables, figures and the page."""
