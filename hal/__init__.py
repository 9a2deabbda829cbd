"""What a unit can do, in the words of the field; knows no driver."""
