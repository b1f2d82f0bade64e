"""The Streamlit pages: flat scripts, and the modules beside them whose names begin with an underscore."""
