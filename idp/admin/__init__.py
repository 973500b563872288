"""admin — pages of the people who look after other people's accounts."""
