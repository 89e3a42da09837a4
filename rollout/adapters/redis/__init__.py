"""The control store on Redis or Valkey."""
