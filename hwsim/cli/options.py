"""What several verbs say."""

BOTH = "--json and --csv both claim standard output; choose one"
