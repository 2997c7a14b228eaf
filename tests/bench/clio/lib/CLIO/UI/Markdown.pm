package CLIO::UI::Markdown;

use strict;
use warnings;

sub new { return bless {}, shift }

sub render { return $_[1] =~ s/\*\*(.+?)\*\*/$1/gr }

1;
