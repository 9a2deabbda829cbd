"""How names are found and files come: DNS, TFTP, FTPES, HTTPS; all of it only hints."""
