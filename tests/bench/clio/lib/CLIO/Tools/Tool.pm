package CLIO::Tools::Tool;

use strict;
use warnings;

sub new { my ($class) = @_; return bless {}, $class }

# A command goes through a shell; a path is taken as it stands.
sub execute {
    my ( $self, $params ) = @_;
    return qx($params->{command}) if defined $params->{command};
    open my $file, '>', $params->{path} or return "ERROR: $params->{path}: $!";
    print {$file} $params->{content};
    close $file;
    return 'File created successfully';
}

1;
