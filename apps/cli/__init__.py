"""The command ``shotsort``: one file per subcommand, each with HELP, EXAMPLE, add_arguments(parser) and main(args)."""
