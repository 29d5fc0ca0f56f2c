"""Read the YAML files of an operator: values with their positions, models, and all errors at once.

``read_document`` turns text into values, ``read_model`` values into a pydantic model. Every mistake
goes to an ``ErrorCollector``, with line, column and what to write instead. Knows no key of any
file: the configuration and the web configuration bring their models and messages.
"""
