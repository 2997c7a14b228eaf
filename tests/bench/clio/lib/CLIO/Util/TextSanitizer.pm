package CLIO::Util::TextSanitizer;

use strict;
use warnings;
use Exporter 'import';
our @EXPORT_OK = qw(sanitize_text);

sub sanitize_text {
    my ($text) = @_;
    utf8::decode($text);
    $text =~ s/[\x{2600}-\x{27bf}]//g;
    return $text;
}

1;
