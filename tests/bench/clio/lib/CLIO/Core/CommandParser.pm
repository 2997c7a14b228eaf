package CLIO::Core::CommandParser;

use strict;
use warnings;

sub new { return bless {}, shift }

sub parse_commands { return [ grep {length} map { s/\A\s+|\s+\z//gr } split /;/, $_[1] ] }

sub is_recall_query { return $_[1] =~ /\b(?:repeat|recall)\b|what .*\b(?:said|say|thing)\b/i }

1;
